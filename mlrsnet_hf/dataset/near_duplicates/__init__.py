"""Images that show one piece of ground."""
