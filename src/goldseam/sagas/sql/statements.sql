Statements over the index of sagas. ":name" is a parameter, "{name}" another statement.

-- columns --
saga, definition, version, status, step, undoing, attempt, asked, due_us, error, started_us,
    updated_us, stream_version

-- due --
SELECT saga, slot, due_us, stream_version FROM saga_index
WHERE status IN ('running', 'compensating') AND due_us <= :until_us
    AND (due_us > :after_us OR (due_us = :after_us AND saga > :after))
ORDER BY due_us, saga LIMIT :limit

-- newest --
SELECT {columns} FROM saga_index
WHERE (:status = '' OR status = :status) AND (:definition = '' OR definition = :definition)
    AND updated_us <= :before_us
ORDER BY updated_us DESC, saga LIMIT :limit

-- one --
SELECT {columns} FROM saga_index WHERE saga = :saga

-- counts --
SELECT definition, version, status, count(*) FROM saga_index
GROUP BY definition, version, status ORDER BY definition, version, status
