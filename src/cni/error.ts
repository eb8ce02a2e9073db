/** CNI errors (containernetworking/cni SPEC.md, "Error"): the codes below 100 are the specification's. */
export const INCOMPATIBLE_VERSION = 1;
export const UNSUPPORTED_FIELD = 2;
export const UNKNOWN_CONTAINER = 3;
export const BAD_ENVIRONMENT = 4;
export const IO_FAILURE = 5;
export const NOT_DECODED = 6;
export const BAD_CONFIG = 7;
export const TRY_LATER = 11;
export const NOT_AVAILABLE = 50;
export const NOT_AVAILABLE_IMPAIRED = 51;

export const INTERFACE_EXISTS = 100;
export const NO_ADDRESS = 101;
export const CHECK_FAILED = 102;
export const WIRING_FAILED = 103;

/** What the kubelet reads: `message` is one sentence with the remedy. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string | undefined;

  constructor(code: number, message: string, details?: string) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** What a system call or a bug threw is an error of ours. */
export function cniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new CniError(
    WIRING_FAILED,
    'the pod could not be attached to the node: see the log of the agent',
    said,
  );
}
