/** How a cluster for tests shall be. */
export interface TestClusterOptions {
  /** Keep the cluster's state in this directory. Absent: it is in memory, and gone when the cluster stops. */
  readonly dir?: string;
  /**
   * With `dir`: acknowledge writes before they are on disk. FOR TESTS ONLY: a machine that stops loses what was acknowledged.
   * Default false.
   */
  readonly noFsync?: boolean;
  /** Port on 127.0.0.1. Default 0: any that is free, so that several clusters run beside each other. */
  readonly port?: number;
  /**
   * Run the controllers: namespaces end, owned objects go with their owners, Deployments make Pods (which nothing runs).
   * Default true; false is the API alone, as envtest has it.
   */
  readonly controllers?: boolean;
}

/** A Kubernetes API for tests. */
export interface TestCluster {
  /** `https://127.0.0.1:PORT`. */
  readonly server: string;
  /** What a client needs to be its administrator. */
  readonly kubeconfig: string;
  /** A file with the kubeconfig, which goes with the cluster. */
  readonly kubeconfigFile: string;
  /** Ends the cluster. Settles when nothing of it is left but `dir`. */
  stop(): Promise<void>;
}

/** Starts a Kubernetes API in this process. Settles when it answers. */
export function startTestCluster(options?: TestClusterOptions): Promise<TestCluster>;
