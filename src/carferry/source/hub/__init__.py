"""The Hugging Face hub and its mirrors: names, what their API says, tokens, reading."""
