"""How long carferry takes, beside everything else that makes an image of a model."""
