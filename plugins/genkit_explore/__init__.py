"""The explorer: a latent space as a page in the browser, by a server or in one file that works offline."""
