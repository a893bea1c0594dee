"""A look at a job before anything is sent: its payload, tiles, area and price, and what would be refused."""
