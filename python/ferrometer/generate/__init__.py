"""Files for the programs around an application: ``ferrometer generate KIND --namespace NAME --out DIR``."""
