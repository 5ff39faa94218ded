"""Deploy a ModelCar: its settings, the objects made from them, their YAML, and applying them."""
