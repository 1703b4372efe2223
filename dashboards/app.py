"""What Streamlit runs for every visitor: the pages and their addresses."""

from __future__ import annotations

import streamlit as st

from dashboards.look import dress
from dashboards.places import all_pages

st.set_page_config(page_title="hcs", page_icon=":material/biotech:", layout="wide")
dress()
st.navigation(all_pages(), position="top").run()
