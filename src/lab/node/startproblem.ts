/** Why a container cannot start now: what its status says under `waiting`. */
export class StartProblem extends Error {
  readonly reason: string;
  /** Milliseconds after which it is worth another look. */
  readonly retryMs: number;

  constructor(reason: string, message: string, retryMs: number) {
    super(message);
    this.reason = reason;
    this.retryMs = retryMs;
  }
}
