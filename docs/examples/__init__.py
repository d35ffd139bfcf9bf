"""The code of docs/another-dependency.md: copy what you need into services/."""
