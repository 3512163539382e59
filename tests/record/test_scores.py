from genkit.record.scores import EpochRecord, Scores


def test_a_record_survives_its_own_json():
    scores = Scores(1.0, {"a": 1.0}, {}, None, None, None)
    record = EpochRecord(1, 600, 2.0, 100.0, 1e-3, {"a": 1.0}, scores, None)
    assert EpochRecord.from_json(record.to_json()) == record
