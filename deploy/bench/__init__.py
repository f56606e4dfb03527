"""How much one bot process carries, and how quickly, when the model answers at once."""
