"""The groups in which `foldseg --help` shows its verbs: they follow the way of the data."""

DATA = "1. Data"
TRAINING = "2. Training"
PREDICTION = "3. Prediction"
ENSEMBLES = "4. Ensembles and submissions"
SCORES = "5. Scores"
OTHER = "6. Other"
