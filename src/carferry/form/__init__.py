"""Fields of forms, and how what is given for them becomes values."""
