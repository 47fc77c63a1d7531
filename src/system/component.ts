/** A started part of the system. It stops when the signal it was started with aborts. */
export interface Component {
  readonly name: string;
  /** Settles when it does its job for the first time; rejects when it never will. */
  readonly ready: Promise<void>;
  /** Settles when all its work has ended. */
  readonly stopped: Promise<void>;
}
