"""Where records live; every module has one Store, and one contract suite (tests/crm_sync/stores) holds for all."""
