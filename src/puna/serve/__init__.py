"""The service: one model behind HTTP for many people, and the page."""
