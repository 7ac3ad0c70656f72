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

/**
 * What a store says of a token, found by what the token says of itself: its issuer, subject, token id
 * and session. It must be a plain object. A member that is absent says nothing against the token.
 */
export interface TokenRecord {
  /** Whether the token or its session was ended for good. Default: false. */
  revoked?: boolean;
  /** Whether its subject is suspended. Default: false. */
  suspended?: boolean;
  /**
   * Whatever was issued to its subject before this second is revoked; so is a token that does not say
   * when it was issued.
   */
  not_before?: Timestamp | null;
}

/** What a caller asks for, and when. */
export interface Request {
  /** The time of the call. */
  now: Timestamp;
  /** Scopes of which the caller must have every one; at most 32. */
  all_of?: string[];
  /** Scopes of which the caller must have one; none: no such demand. At most 32. */
  any_of?: string[];
  /** The environment that is called; none: any. */
  env?: string | null;
  /** The address of the client, such as `192.0.2.7` or `2001:db8::1`; of no effect on tokens. */
  address?: string | null;
  /**
   * Calls of this key that were allowed in the current rate window, and the second it ends; of no
   * effect on tokens.
   */
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

/** A signature algorithm. `EdDSA` and `Ed25519` are two names for the same; each is allowed by itself. */
export type Algorithm =
  | "HS256"
  | "HS384"
  | "HS512"
  | "RS256"
  | "RS384"
  | "RS512"
  | "PS256"
  | "PS384"
  | "PS512"
  | "ES256"
  | "ES384"
  | "EdDSA"
  | "Ed25519";

/** A key in JSON (RFC 7517). Other members than these are ignored. */
export interface Jwk {
  /** The type of the key: `RSA`, `EC`, `OKP` or `oct`. A key of another type is left out. */
  kty: string;
  /** The name that tokens call the key by; at most 256 bytes. Keys of the same name are left out. */
  kid?: string;
  /** The only algorithm that the key is for. */
  alg?: string;
  /** What the key is for: `sig`. A key for anything else is left out. */
  use?: string;
  /** What may be done with the key; `verify` must be among it. */
  key_ops?: string[];
  /** The curve: `P-256` or `P-384` with `EC`, `Ed25519` with `OKP`. */
  crv?: string;
  /** A coordinate with `EC`, the key itself with `OKP`; base64url. */
  x?: string;
  /** The other coordinate with `EC`; base64url. */
  y?: string;
  /** The modulus with `RSA`, of 2,048 to 8,192 bits; base64url. */
  n?: string;
  /** The public exponent with `RSA`; base64url. */
  e?: string;
  /** The secret with `oct`, at least as long as the hash; base64url. Beside public keys it is left out. */
  k?: string;
  [member: string]: unknown;
}

/** A JWK Set (RFC 7517, section 5), such as an issuer publishes. */
export interface JwkSet {
  /** The keys; at most 64. One that cannot be used is left out. */
  keys: Jwk[];
  [member: string]: unknown;
}

/** Who signs tokens, and what is asked of them. As JSON at most 262,144 bytes. */
export type Issuer = IssuerSettings &
  (
    | {
        /** Its keys. As JSON at most 196,608 bytes. */
        jwks: JwkSet;
      }
    | {
        /** Its one key, chosen by hand: when it has no `kid`, a token may have any. */
        jwk: Jwk;
      }
  );

/** What is asked of the tokens of an issuer. */
export interface IssuerSettings {
  /** Its name, as its tokens have it in `iss`; compared exactly. At most 1,024 bytes. */
  issuer: string;
  /** The algorithms it signs with; at least one. */
  algorithms: Algorithm[];
  /**
   * Of which a token must name one in `aud`. At most 32 of 1,024 bytes. None without `any_audience`: every
   * token is `wrong_audience`.
   */
  audiences?: string[];
  /** Whether a token may be for anybody. Not together with `audiences`. Default: false. */
  any_audience?: boolean;
  /**
   * Claims that a token must not have, whatever their value. At most 16 names of 256 bytes. Default:
   * `["nonce", "at_hash", "c_hash"]`, which ID tokens have.
   */
  forbidden_claims?: string[];
  /**
   * Whether a scope such as `invoices:*` grants what begins with `invoices:`. Otherwise it grants itself
   * only. Default: false.
   */
  wildcard_scopes?: boolean;
  /** What the header of its tokens must say they are; none: either of these, or nothing. */
  typ?: "JWT" | "at+jwt" | null;
  /** Seconds by which clocks may differ; at most 60. Default: 0. */
  leeway?: number;
  /** Where the claims are that the standards do not fix. */
  claims?: {
    /** The claims that hold scopes; all of them together are the token's. Default: `["scope"]`. */
    scopes?: ("scope" | "scp" | "scopes" | "permissions")[];
    /**
     * The claim that names the organization, or the path to it (a JSON Pointer, such as `/o/id`);
     * `null`: none does. At most 256 bytes. Default: `org_id`.
     */
    organization?: string | null;
    /**
     * The claim that names the roles, or the path to it (such as `/realm_access/roles`). At most 256
     * bytes. Default: none.
     */
    roles?: string | null;
    /**
     * The claim that names the environment, or the path to it: a string such as `live`. At most 256
     * bytes. Default: none.
     */
    environment?: string | null;
  };
  /**
   * The environment that all of its tokens belong to. Default: what their claim says
   * (`claims.environment`), or nothing. Not together with that claim.
   */
  environment?: string | null;
  /**
   * Whether a token that belongs to no environment is good for every one. Otherwise it is
   * `wrong_environment` where a request asks for one. Not together with `environment`. Default: false.
   */
  any_environment?: boolean;
  /** Longest token in bytes; at most 65,536. Default: 8,192. */
  longest_token?: number;
  /** Whether RSA keys may have the public exponent 3. Default: false. */
  small_exponent?: boolean;
  /** Whether tables are built for its keys: about 300 to 640 KiB each, and much faster. Default: true. */
  tables?: boolean;
  /**
   * Whether keys of type `oct`, which are shared secrets, are taken. Never for a set that was fetched.
   * Default: false.
   */
  secrets?: boolean;
  /** Whether they are taken beside public keys too. Only for a set that you have made yourself. Default: false. */
  mixed_keys?: boolean;
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

/** Who a caller with an API key is. */
export interface ApiKeyPrincipal {
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

/** Who a caller with a token is, by what the token claims where its issuer's settings say. */
export interface JwtPrincipal {
  kind: "jwt";
  /** Who issued the token (`iss`). */
  issuer: string;
  /** Who it was issued to (`sub`). */
  subject: string | null;
  /** The organization that the subject acts in. */
  org_id: string | null;
  /** The environment that the token belongs to, by its issuer's settings or by its claim; `null`: to none. */
  env: string | null;
  /**
   * What the caller may do, as the token has it. Do not compare by yourself, ask for scopes in the request:
   * a wildcard grants nothing unless the issuer's settings say so (`wildcard_scopes`).
   */
  scopes: string[];
  /** The subject's roles. */
  roles: string[];
  /** The client that the token was issued to (`client_id`). */
  client_id: string | null;
  /** The session that the token belongs to (`sid`). */
  session_id: string | null;
  /** The token's own id (`jti`). */
  token_id: string | null;
  /** When the token was issued (`iat`). */
  issued_at: Timestamp | null;
  /** When the token expires (`exp`). */
  expires_at: Timestamp;
}

/** Who the caller is, by what proved it. */
export type Principal = ApiKeyPrincipal | JwtPrincipal;

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

/** The validator's answer: an object without a prototype, so that a member it lacks is found nowhere. */
export type Verdict = Allow | Deny;

/** What a {@link Validator} is made with. */
export interface ValidatorSettings {
  /** The key formats in force, which tell a mistyped key from something that is no key. Default: none. */
  formats?: KeyFormat[] | null;
  /** Who may sign tokens. Default: nobody. */
  issuers?: Issuer[] | null;
}

/**
 * Judges keys and tokens. Formats and issuers are prepared once, and tokens that were verified are
 * remembered (what they say, and the SHA-256 of their signatures; up to 4,096, of 4 MiB): make one, and keep it.
 *
 * It has no clock, no randomness, and no network: keys of issuers come in with `putIssuer`, also when
 * they change. Whatever it throws, treat the credential as denied.
 *
 * Every argument must be plain data: own, enumerable members of plain objects, and arrays without
 * holes. Functions, `undefined`, symbols, getters, objects of classes, proxies and members that are not
 * listed here throw a `TypeError`. That an object of a built-in class (`Map`, `Date`) whose prototype was replaced by
 * `Object.prototype` is none, and a proxy, can be told where there is `structuredClone`; of a class with nothing but
 * private fields it cannot be told. An argument may have 262,144 characters and 16 levels.
 *
 * A validator has a WebAssembly instance of its own, of at most 64 MiB. If the instance fails, the
 * verdict is `unavailable`, and the next call makes a fresh one with the same formats and issuers; for
 * that, the documents of the issuers are kept, with their secrets, until `free`.
 *
 * @example
 * const issuer = { issuer: "https://id.example", algorithms: ["ES256"], audiences: ["https://api.example"], jwks };
 * const validator = new Validator({ formats, issuers: [issuer] });
 * const verdict = validator.check(bearer, record, { now: Math.floor(Date.now() / 1000), all_of: ["invoices:read"] });
 * if (verdict.verdict === "deny") return new Response(verdict.message, { status: verdict.status });
 */
export class Validator {
  /**
   * @param settings formats and issuers; of two issuers with the same name the last one is known
   * @throws TypeError when one of them is not of its type, or there are more than 64 issuers
   */
  constructor(settings?: ValidatorSettings | null);

  /**
   * Takes an issuer in place of the one of the same name, and prepares its keys. Tokens that were
   * verified before are verified again.
   *
   * @returns how many of its keys can be used; one that cannot is left out
   * @throws TypeError when it is no issuer, or there are 64 others already; then nothing has changed
   * @throws Error when the module fails at it; then nothing has changed either
   */
  putIssuer(document: Issuer): number;

  /**
   * Forgets the issuer of exactly this name: its tokens are of an unknown issuer then.
   *
   * @returns whether there was one
   * @throws TypeError when the name is not a string
   */
  removeIssuer(name: string): boolean;

  /**
   * Judges one credential. One with two dots in it is judged as a token, unless it comes with the
   * record of a key; every other one is judged as a key.
   *
   * @param credential the key or token as presented; one longer than 65,536 bytes is malformed
   * @param record what the store says of it. One with the member `key_id` is the record of a key, whose
   *   digest is SHA-256 of the credential; any other one is that of a token. `null`: for a key, there is
   *   no such record; for a token, nothing is known against it
   * @param request what the caller asks for, and when
   * @throws TypeError when an argument is not of its type; treat the credential as denied
   */
  check(
    credential: string | Uint8Array,
    record: KeyRecord | TokenRecord | null | undefined,
    request: Request,
  ): Verdict;

  /** Gives its memory back; it cannot be used afterwards. Without this, the garbage collector does it. */
  free(): void;
}

/**
 * Judges one key. It is pure: no clock, no randomness, no network. It knows no issuers, so every token
 * is of an unknown one: for tokens there is {@link Validator}.
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

/** What the module can be loaded from. */
export type ModuleSource = BufferSource | WebAssembly.Module;

/**
 * Loads the module, once; later calls do nothing. Loading compiles: where that is forbidden, give a
 * `WebAssembly.Module`.
 *
 * Import and load the package before code that you do not trust: what other code changes in prototypes
 * and built-in functions afterwards changes no verdict.
 */
export function initSync(source: ModuleSource | { module: ModuleSource }): void;

/** The same, from wherever the module is. Default: `keystile_validator_bg.wasm` beside this file. */
export default function init(
  source?:
    | ModuleSource
    | string
    | URL
    | globalThis.Request
    | globalThis.Response
    | Promise<ModuleSource | globalThis.Response>
    | { module_or_path: ModuleSource | string | URL | Promise<ModuleSource | globalThis.Response> },
): Promise<void>;
