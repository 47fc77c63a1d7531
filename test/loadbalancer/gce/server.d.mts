export const project: string;
/** E-mail of the service account that is known. */
export const account: string;

export interface GceState {
  /** By path below `compute/v1`. */
  readonly things: Readonly<Record<string, Record<string, unknown>>>;
  readonly endpoints: Readonly<
    Record<string, readonly { readonly instance: string; readonly ipAddress: string; readonly port?: number }[]>
  >;
  /** Requests that Google's description does not have. */
  readonly invalid: readonly unknown[];
  readonly writes: number;
  readonly routed: Readonly<Record<string, string>>;
  /** Health checks and why they failed. */
  readonly unhealthy: readonly (readonly [string, string])[];
}

export interface Gce {
  readonly url: string;
  /** For a hand that changes something. */
  token(): string;
  state(): Promise<GceState>;
  mode(value: Record<string, unknown>): Promise<void>;
  close(): void;
}

export function startGce(port: number, publicKey: string, folder?: string): Promise<Gce>;
