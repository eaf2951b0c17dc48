"""Verbs over two commits of the pipeline: is the new one better?"""
