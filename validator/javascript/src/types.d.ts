/** Whole seconds since the Unix epoch, UTC, such as `Math.floor(Date.now() / 1000)`. */
export type Timestamp = number;

/** What a validator knows of one secret. */
export interface KeyRecord {
  /** The key: `key_` and 32 hexadecimal digits. */
  key_id: string;
  /** SHA-256 of the whole secret as presented, in lower-case hexadecimal. */
  digest: string;
  /** Whether the key is in use. */
  state: "active" | "suspended" | "revoked";
  /** Whose key it is; at most 254 bytes. */
  owner?: string | null;
  /** The environment of the key, such as `live`. */
  env: string;
  /** What the key may do; at most 64 scopes. */
  scopes?: string[];
  /** Before this second the key is not valid yet. */
  not_before?: Timestamp | null;
  /** From this second on the key has expired. */
  expires_at?: Timestamp | null;
  /** From this second on the secret was rotated away. */
  retires_at?: Timestamp | null;
  /** Client addresses the key may be used from, such as `10.0.0.0/8`; none: from anywhere. At most 32. */
  addresses?: string[];
  /** How often the key may be used: calls in a window of so many seconds. */
  rate?: { limit: number; window: number } | null;
  /** Whether the first use of this secret starts the grace of the previous one. It changes no verdict. */
  starts_grace?: boolean;
}

/** What a caller asks for, and when. */
export interface Request {
  /** The time of the call. */
  now: Timestamp;
  /** Scopes of which the key must have every one; at most 32. */
  all_of?: string[];
  /** Scopes of which the key must have one; none: no such demand. At most 32. */
  any_of?: string[];
  /** The environment that is called; none: any. */
  env?: string | null;
  /** The address of the client, such as `192.0.2.7` or `2001:db8::1`. */
  address?: string | null;
  /** Calls of this key that were allowed in the current rate window, and the second it ends. */
  usage?: { used: number; resets_at: Timestamp } | null;
}

/** How a secret is written: `<prefix>_<environment><separator><body><checksum>`. */
export interface KeyFormat {
  /** What every secret begins with, such as `hx`. */
  prefix: string;
  /** What stands before the body. Default: `_`. */
  separator?: "_" | ".";
  /** The environments there are; 1 to 16. */
  environments: string[];
  /** Characters of the body; 22 to 128. */
  body: number;
  /** The checksum at the end. */
  checksum: "none" | "crc32";
}

/** Why a credential is denied. */
export type Code =
  | "missing_credential"
  | "malformed"
  | "unknown_key"
  | "revoked"
  | "suspended"
  | "expired"
  | "not_yet_valid"
  | "rotated"
  | "bad_signature"
  | "unknown_issuer"
  | "unknown_signing_key"
  | "algorithm_not_allowed"
  | "wrong_audience"
  | "invalid_claim"
  | "insufficient_scope"
  | "wrong_environment"
  | "address_not_allowed"
  | "rate_limited"
  | "quota_exceeded"
  | "stale_bundle"
  | "unavailable";

/** Who the caller is. */
export interface Principal {
  kind: "api_key";
  /** The key. */
  key_id: string;
  /** Whose key it is. */
  owner: string | null;
  /** The environment of the key. */
  env: string;
  /** What the key may do. */
  scopes: string[];
  /** When the key expires. */
  expires_at: Timestamp | null;
}

/** The caller may do what the request says. */
export interface Allow {
  verdict: "allow";
  principal: Principal;
}

/** The caller may not. */
export interface Deny {
  verdict: "deny";
  /** Why, for programs and logs. */
  code: Code;
  /** The HTTP status that fits. */
  status: 401 | 403 | 429 | 503;
  /** Why, in words that the caller may read. */
  message: string;
  /** Seconds after which to try again. */
  retry_after?: number;
}

/** The validator's answer. */
export type Verdict = Allow | Deny;

/**
 * Judges one credential. It is pure: no clock, no randomness, no network.
 *
 * @param credential the key as presented; one longer than 65,536 bytes is malformed
 * @param record the record whose digest is SHA-256 of the credential; `null`: there is no such record
 * @param request what the caller asks for, and when
 * @param formats the key formats in force, which tell a mistyped key from something that is no key
 * @throws TypeError when an argument is not of its type; treat the credential as denied
 *
 * @example
 * const verdict = check(key, record, { now: Math.floor(Date.now() / 1000), all_of: ["invoices:read"] }, formats);
 * if (verdict.verdict === "deny") return new Response(verdict.message, { status: verdict.status });
 */
export function check(
  credential: string | Uint8Array,
  record: KeyRecord | null | undefined,
  request: Request,
  formats?: KeyFormat[],
): Verdict;
