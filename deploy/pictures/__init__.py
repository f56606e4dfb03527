"""Pictures of Mynah for the README: real messages of the real bot, drawn by the sandbox's page."""
