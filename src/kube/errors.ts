/** What can go wrong between a client and its API server, told as a sentence with what to check. */
import type { Status } from './types.ts';

/** The API server answered, and refused. `code` is the HTTP status, `reason` the Status object's (`NotFound`, `Conflict` …). */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: unknown;

  constructor(status: { code: number; reason: string; message: string; details?: unknown }) {
    super(status.message);
    this.name = 'ApiError';
    this.code = status.code;
    this.reason = status.reason;
    this.details = status.details;
  }
}

/** No answer from the API server, or none that could be understood. `code` is the system's (`ECONNREFUSED` …). */
export class KubeUnreachable extends Error {
  readonly server: string;
  readonly code: string;

  constructor(server: string, code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'KubeUnreachable';
    this.server = server;
    this.code = code;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.code === 409;
}

/** 410, or 504-less `Expired`: the resourceVersion asked for is too old, list again. */
export function isGone(error: unknown): boolean {
  return (
    error instanceof ApiError && (error.code === 410 || error.reason === 'Expired' || error.reason === 'Gone')
  );
}

/** The error that a body of an HTTP status ≥ 400 stands for; copes with bodies that are no Status object. */
export function apiError(httpStatus: number, body: string, what: string): ApiError {
  const status = parseStatus(body);
  const reason = status?.reason ?? REASONS[httpStatus] ?? 'Unknown';
  const message = status?.message ?? `${what}: the API server answered ${httpStatus} ${reason}`;
  return new ApiError({ code: status?.code ?? httpStatus, reason, message, details: status?.details });
}

/** The error for a failed connection or request to `server`. */
export function unreachable(server: string, error: unknown): KubeUnreachable {
  const code = errorCode(error);
  const [failed, check] = EXPLANATIONS[code] ?? [errorText(error), CHECK_RUNNING];
  return new KubeUnreachable(
    server,
    code,
    `the API server ${server} cannot be reached: ${failed}; ${check}`,
    error,
  );
}

const CHECK_RUNNING =
  'check that the cluster runs and that the kubeconfig (--kubeconfig, --context) names it';
const CHECK_CA = 'check certificate-authority-data of the cluster in the kubeconfig';
const CHECK_NAME = "check the server's name in the kubeconfig and this machine's DNS";

const EXPLANATIONS: Record<string, [failed: string, check: string]> = {
  ECONNREFUSED: ['the connection was refused', CHECK_RUNNING],
  ECONNRESET: ['the connection was reset', CHECK_RUNNING],
  EPIPE: ['the connection was closed', CHECK_RUNNING],
  ETIMEDOUT: ['it did not answer in time', `${CHECK_RUNNING}, and that no firewall is between`],
  EHOSTUNREACH: ['there is no route to it', CHECK_RUNNING],
  ENETUNREACH: ['there is no route to it', CHECK_RUNNING],
  ENOTFOUND: ['its name does not resolve', CHECK_NAME],
  EAI_AGAIN: ['its name could not be resolved just now', CHECK_NAME],
  CERT_HAS_EXPIRED: ['its certificate has expired', "renew it, or check this machine's clock"],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', "check this machine's clock"],
  SELF_SIGNED_CERT_IN_CHAIN: ['its certificate is not signed by the CA of the kubeconfig', CHECK_CA],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is not signed by the CA of the kubeconfig', CHECK_CA],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['its certificate is not signed by the CA of the kubeconfig', CHECK_CA],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['its certificate is not signed by the CA of the kubeconfig', CHECK_CA],
  CERT_SIGNATURE_FAILURE: ['its certificate is not signed by the CA of the kubeconfig', CHECK_CA],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another name',
    'check the server address in the kubeconfig, or set tls-server-name',
  ],
  EPROTO: ['it does not speak TLS as asked', 'check http:// against https:// in the kubeconfig'],
  HPE_INVALID_CONSTANT: ['it does not speak HTTP', CHECK_RUNNING],
};

const REASONS: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function parseStatus(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null || !('kind' in value) || value.kind !== 'Status')
      return undefined;
    const { message, reason, code, details } = value as Record<string, unknown>;
    return {
      ...(typeof message === 'string' && message !== '' && { message }),
      ...(typeof reason === 'string' && reason !== '' && { reason }),
      ...(typeof code === 'number' && { code }),
      ...(details !== undefined && { details }),
    };
  } catch {
    return undefined;
  }
}

function errorCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return 'UNKNOWN';
}

function errorText(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}
