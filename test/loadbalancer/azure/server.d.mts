export const subscription: string;
export const tenant: string;
export const client: string;
export const secret: string;
/** The token of a file that is taken in place of the secret. */
export const federated: string;

export interface AzureThing {
  readonly id: string;
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface AzureState {
  readonly things: readonly AzureThing[];
  /** Requests that Microsoft's models do not have. */
  readonly invalid: readonly unknown[];
  readonly writes: number;
}

export interface Azure {
  readonly url: string;
  state(): Promise<AzureState>;
  mode(value: Record<string, unknown>): Promise<void>;
  /** Adds a probe of somebody else to each load balancer. */
  addForeign(): Promise<void>;
  /** In all of a kind: puts a value in the place of what is at the end of a path in their properties; without a path, takes them away. */
  change(kind: string, at?: readonly (string | number)[], value?: unknown): Promise<void>;
  close(): void;
}

/** `folder`: of a HAProxy; none without. */
export function startAzure(port: number, folder?: string): Promise<Azure>;
