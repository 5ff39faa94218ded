"""Logins: where they are, where they may go, and what a registry asks for."""
