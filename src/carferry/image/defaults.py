"""What an image stands on and runs on if nobody says; apart, since every help tells it."""

DEFAULT = "registry.access.redhat.com/ubi9/ubi-micro"
PLATFORM = "linux/amd64"
