"""Watch what was applied come up: look at every object, know the signs, name the cause."""
