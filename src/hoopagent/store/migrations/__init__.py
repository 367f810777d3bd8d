"""How the store's tables came to be, one step a file; run when a store is opened."""
