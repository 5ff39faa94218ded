"""The pictures of the tutorials, drawn from the parameter table and the graph of a run."""
