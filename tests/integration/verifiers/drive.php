<?php
// Give each case to the check, and print what it says: the id, or null where it is refused.
declare(strict_types=1);

require __DIR__ . '/verify.php';

$verdicts = [];
foreach (json_decode(stream_get_contents(STDIN), true, 8, JSON_THROW_ON_ERROR) as $case) {
    try {
        $verdicts[] = verify($case['secret'], $case['headers'], base64_decode($case['body'], true), $case['now']);
    } catch (InvalidSignature) {
        $verdicts[] = null;
    }
}
echo json_encode($verdicts, JSON_THROW_ON_ERROR);
