"""GPTWeb CRM Sync: keeps GPTWeb's contacts, leads and accounts in step with a CRM, both ways, and shows every change."""
