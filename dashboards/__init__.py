"""The dashboard: pages in which people look at plates, hits, compounds, mechanisms and runs, by asking the API."""
