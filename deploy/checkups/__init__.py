"""What `mynah doctor` looks at. Nothing here changes anything, or tells a secret."""
