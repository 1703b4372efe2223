"""What Streamlit runs for every visitor: the pages and their addresses."""

from __future__ import annotations

import streamlit as st

from dashboards.look import ICON, dress
from dashboards.places import all_pages

page = st.navigation(all_pages(), position="top")
st.set_page_config(page_title=f"{page.title} - hcs", page_icon=ICON, layout="wide")
dress()
page.run()
