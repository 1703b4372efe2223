"""Trains encoders on simulated screens and compares them with others.

`fields` renders what is learned from, `crops` deals it in batches, `recipe` says how, `learner` is the network that
learns, `pretrain` the loop around it, and `compare` judges the result on screens that nobody has seen.
"""
