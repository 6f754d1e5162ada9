import type { MysqlFailure } from './failure.ts'

/**
 * What an error of MySQL or MariaDB means for the rows that were sent, by its number: texts are
 * translated, numbers are not. Numbers below 2000 mean the same in both; MySQL's own begin at 3000,
 * MariaDB's own at 4000 (and a few at 1900).
 *
 * - again: nothing is wrong with the rows. They are sent again later.
 * - refused: the same, but somebody must mend something first: rights, a missing table.
 * - exists: a row has this position already.
 * - row: one of the rows will never be accepted as it is.
 * - unknown: an unrecognized error. It is waited out; if it persists, the row is to blame if the
 *   server accepts the same row as text.
 */
export type Verdict = 'again' | 'refused' | 'exists' | 'row' | 'unknown'

const againNumbers = new Set([
  1021, // ER_DISK_FULL
  1026, // ER_ERROR_ON_WRITE
  1028, // ER_FILSORT_ABORT
  1030, // ER_GET_ERRNO: the engine's own, for example no space
  1036, // ER_OPEN_AS_READONLY
  1037, // ER_OUTOFMEMORY
  1040, // ER_CON_COUNT_ERROR: too many connections
  1041, // ER_OUT_OF_RESOURCES
  1042, // ER_BAD_HOST_ERROR
  1043, // ER_HANDSHAKE_ERROR
  1047, // ER_UNKNOWN_COM_ERROR: a node of Galera that is not in its cluster
  1053, // ER_SERVER_SHUTDOWN
  1077, // ER_NORMAL_SHUTDOWN
  1079, // ER_SHUTDOWN_COMPLETE
  1080, // ER_FORCING_CLOSE
  1099, // ER_TABLE_NOT_LOCKED_FOR_WRITE
  1100, // ER_TABLE_NOT_LOCKED
  1114, // ER_RECORD_FILE_FULL: the table is full, which is the disk
  1119, // ER_STACK_OVERRUN
  1129, // ER_HOST_IS_BLOCKED
  1135, // ER_CANT_CREATE_THREAD
  1152, // ER_ABORTING_CONNECTION
  1154, // ER_NET_READ_ERROR_FROM_PIPE
  1155, // ER_NET_FCNTL_ERROR
  1156, // ER_NET_PACKETS_OUT_OF_ORDER
  1158, // ER_NET_READ_ERROR
  1159, // ER_NET_READ_INTERRUPTED
  1160, // ER_NET_ERROR_ON_WRITE
  1161, // ER_NET_WRITE_INTERRUPTED
  1180, // ER_ERROR_DURING_COMMIT
  1181, // ER_ERROR_DURING_ROLLBACK
  1184, // ER_NEW_ABORTING_CONNECTION
  1194, // ER_CRASHED_ON_USAGE
  1197, // ER_TRANS_CACHE_FULL
  1198, // ER_SLAVE_MUST_STOP
  1203, // ER_TOO_MANY_USER_CONNECTIONS
  1205, // ER_LOCK_WAIT_TIMEOUT
  1206, // ER_LOCK_TABLE_FULL
  1207, // ER_READ_ONLY_TRANSACTION
  1213, // ER_LOCK_DEADLOCK
  1223, // ER_CANT_UPDATE_WITH_READLOCK
  1226, // ER_USER_LIMIT_REACHED
  1290, // ER_OPTION_PREVENTS_STATEMENT: --read-only
  1297, // ER_GET_TEMPORARY_ERRMSG
  1317, // ER_QUERY_INTERRUPTED
  1412, // ER_TABLE_DEF_CHANGED
  1436, // ER_STACK_OVERRUN_NEED_MORE
  1598, // ER_BINLOG_LOGGING_IMPOSSIBLE
  1613, // ER_XA_RBTIMEOUT
  1614, // ER_XA_RBDEADLOCK
  1637, // ER_TOO_MANY_CONCURRENT_TRXS
  1792, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
  1836, // ER_READ_ONLY_MODE
  1927, // ER_CONNECTION_KILLED (MariaDB)
  1969, // ER_STATEMENT_TIMEOUT (MariaDB)
  3024, // ER_QUERY_TIMEOUT
  3032, // ER_SERVER_OFFLINE_MODE
  3098, // ER_BEFORE_DML_VALIDATION_ERROR (group replication)
  3100, // ER_RUN_HOOK_ERROR (group replication)
  3101, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT (group replication)
  3168, // ER_SERVER_ISNT_AVAILABLE
  3572, // ER_LOCK_NOWAIT
  4020, // ER_MAX_STATEMENT… (MariaDB)
  4031, // ER_CLIENT_INTERACTION_TIMEOUT (MySQL)
  9001, // ProxySQL: no server behind it was reached in time
])

const refusedNumbers = new Set([
  1044, // ER_DBACCESS_DENIED_ERROR
  1045, // ER_ACCESS_DENIED_ERROR
  1046, // ER_NO_DB_ERROR
  1049, // ER_BAD_DB_ERROR
  1054, // ER_BAD_FIELD_ERROR: the table is not as this version makes it
  1130, // ER_HOST_NOT_PRIVILEGED
  1136, // ER_WRONG_VALUE_COUNT_ON_ROW
  1142, // ER_TABLEACCESS_DENIED_ERROR
  1143, // ER_COLUMNACCESS_DENIED_ERROR
  1146, // ER_NO_SUCH_TABLE
  1227, // ER_SPECIFIC_ACCESS_DENIED_ERROR
  1251, // ER_NOT_SUPPORTED_AUTH_MODE
  1364, // ER_NO_DEFAULT_FOR_FIELD
  1370, // ER_PROCACCESS_DENIED_ERROR
  1698, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
  1820, // ER_MUST_CHANGE_PASSWORD
  1862, // ER_MUST_CHANGE_PASSWORD_LOGIN
  1932, // ER_NO_SUCH_TABLE_IN_ENGINE (MariaDB)
  3118, // ER_ACCOUNT_HAS_BEEN_LOCKED
  3159, // ER_SECURE_TRANSPORT_REQUIRED
  3955, // ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK
  4151, // ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB)
])

const rowNumbers = new Set([
  1048, // ER_BAD_NULL_ERROR
  1064, // ER_PARSE_ERROR
  1071, // ER_TOO_LONG_KEY
  1118, // ER_TOO_BIG_ROWSIZE
  1153, // ER_NET_PACKET_TOO_LARGE
  1162, // ER_TOO_LONG_STRING
  1231, // ER_WRONG_VALUE_FOR_VAR
  1264, // ER_WARN_DATA_OUT_OF_RANGE
  1265, // WARN_DATA_TRUNCATED
  1267, // ER_CANT_AGGREGATE_2COLLATIONS
  1292, // ER_TRUNCATED_WRONG_VALUE
  1300, // ER_INVALID_CHARACTER_STRING
  1301, // ER_WARN_ALLOWED_PACKET_OVERFLOWED
  1366, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD: the character set
  1367, // ER_ILLEGAL_VALUE_FOR_TYPE
  1406, // ER_DATA_TOO_LONG
  1411, // ER_WRONG_VALUE_FOR_TYPE
  1690, // ER_DATA_OUT_OF_RANGE
  1713, // ER_UNDO_RECORD_TOO_BIG
  2020, // CR_NET_PACKET_TOO_LARGE
  3140, // ER_INVALID_JSON_TEXT
  3141, // ER_INVALID_JSON_TEXT_IN_PARAM
  3144, // ER_INVALID_JSON_CHARSET
  3150, // ER_JSON_VALUE_TOO_BIG
  3151, // ER_JSON_KEY_TOO_BIG
  3156, // ER_INVALID_JSON_VALUE_FOR_CAST
  3157, // ER_JSON_DOCUMENT_TOO_DEEP
  3158, // ER_JSON_DOCUMENT_NULL_KEY
  3819, // ER_CHECK_CONSTRAINT_VIOLATED (MySQL)
  3854, // ER_CANNOT_CONVERT_STRING
  4025, // ER_CONSTRAINT_FAILED (MariaDB)
  4038, // ER_JSON_SYNTAX (MariaDB)
  4040, // ER_JSON_DEPTH (MariaDB)
])

const duplicateNumbers = new Set([1022, 1062, 1586])

/**
 * Judges an error by its number; undefined means no answer at all: a lost connection, a
 * timeout, no such host.
 */
export function judge(errno: number | undefined): Verdict {
  if (errno === undefined || againNumbers.has(errno)) return 'again'
  if (refusedNumbers.has(errno)) return 'refused'
  if (duplicateNumbers.has(errno)) return 'exists'
  return rowNumbers.has(errno) ? 'row' : 'unknown'
}

/**
 * What a log may say of an error. The text quotes the row when the error is about one
 * (`Incorrect value: 'xyz'`), so only its code and number are said then. The row itself keeps the
 * text.
 */
export function sayable({ message, code, errno }: MysqlFailure): string {
  if (errno === undefined) return message
  const isOfNoRow = againNumbers.has(errno) || refusedNumbers.has(errno)
  return `${isOfNoRow ? message : code} (error ${errno})`
}

/** True if a statement was too large for the server. */
export function isTooLarge(errno: number | undefined): boolean {
  return errno === 1153 || errno === 1301 || errno === 1162 || errno === 2020
}
