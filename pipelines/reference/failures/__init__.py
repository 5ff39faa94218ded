"""What goes wrong: the pages of errors and of causes why a deployment does not come up."""
