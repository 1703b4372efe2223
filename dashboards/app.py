"""What Streamlit runs for every visitor: the pages and their addresses."""

from __future__ import annotations

import streamlit as st

from dashboards.look import ICON, dress
from dashboards.places import all_pages

st.set_page_config(
    page_icon=ICON, layout="wide"
)  # before the pages: the icon of a page would be fetched from elsewhere
page = st.navigation(all_pages(), position="top")
st.set_page_config(page_title=f"{page.title} - hcs")
dress()
page.run()
