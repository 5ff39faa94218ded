"""NAME=VALUE texts of the command line as a pipeline's parameters."""
