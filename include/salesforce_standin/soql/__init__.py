"""SOQL as sync clients use it: text to tokens, tokens to a tree, the tree to a result over the org's tables."""
