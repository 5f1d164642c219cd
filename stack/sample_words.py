"""The words of the example data: names from many places, and text that careless systems trip over."""

FIRST = ("Ana", "Björn", "Chloé", "D'Arcy", "Élodie", "Fatima", "Grzegorz", "Hồng", "Ines", "Jürgen", "Khalid", "Łucja",
         "Miyu", "Nia", "Olu", "Pia", "Qing", "René", "Søren", "Tadhg", "Uma", "Víctor", "Wei", "Xenia", "Yael", "محمد",
         "שרה", "美咲", None)  # fmt: skip
LAST = ("O'Neill", "van der Berg", "García Márquez", "Smith-Jones", "Müller", "Ng", "Nguyễn", "Žižek", "St. John", "Null",
        "True", "李", "الأحمد", "כהן", "Ivanova", "Okafor", "D’Angelo", "Þórsdóttir", "de la Cruz", "Robert'); --")  # fmt: skip
NAMES = ("Acme", "Borealis", "Café Müller", "Delta & Sons", "Échelle", "Foxglove", "Grün+Blau", "Harbor “One”", "Ibis, Inc.",
         "Juniper's", "Kōbe", "Łódź", "Mañana", "Nord/Süd", "Ox & Ash", "שלום", "نور")  # fmt: skip
TRADES = ("Ltd", "GmbH", "S.A.", "LLC", "Foods", "Robotics", "Travel", "Labs, Inc.", "Bank")
TITLES = (
    "Head of Sales",
    "CTO",
    "Buyer",
    "VP, Marketing",
    "Owner",
    "Assistant to the Director",
    "Ingénieure",
    "部長",
)
DEPARTMENTS = ("Sales", "R&D", "Finance", "Legal, Tax & Audit", "HR", None)
INDUSTRIES = ("Technology", "Banking", "Retail", "Energy", "Education", None)
STATUSES = ("Open - Not Contacted", "Working - Contacted", "Closed - Not Converted")
CITIES = (
    ("London", None, "SW1A 1AA", "United Kingdom"),
    ("München", "Bayern", "80331", "Germany"),
    ("São Paulo", "SP", "01310-100", "Brazil"),
    ("Boston", "MA", "02108", "USA"),
    ("תל אביב", None, "6100000", "Israel"),
    ("東京", "東京都", "100-0001", "Japan"),
    ("L'Aquila", "AQ", "67100", "Italy"),
)
AWKWARD = (
    "It's \"quoted\", and 'quoted' again",
    "line one\nline two\n\nline four",
    "comma, semicolon; tab\tand | bar",
    "emoji 🚀👩‍💻🇺🇳",
    "مرحبا بالعالم",
    "שלום עולם",
    "\\N",
    "NULL",
    "#N/A",
    "=1+1",
    "100% {braces} <b>bold</b> &amp;",
    "0042",
    "back\\slash \\n no newline",
    "zero\u200bwidth and nbsp\u00a0inside",
)
LONG = ("A street, a text, a title as long as the field allows: äöü – " * 5)[:254] + "."
