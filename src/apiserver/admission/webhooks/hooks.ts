import {
  resources,
  type MutatingWebhook,
  type MutatingWebhookConfiguration,
  type ValidatingWebhook,
  type ValidatingWebhookConfiguration,
} from "../../../kube/index.ts";
import { prefixFor, type Storage } from "../../storage/index.ts";

/** A webhook and the configuration it stands in. */
export interface Hook<T = MutatingWebhook | ValidatingWebhook> {
  readonly configuration: string;
  /** Names it within all of its kind: a name may be used twice. */
  readonly id: string;
  /** Changes when the configuration does: what was compiled of it holds as long. */
  readonly version: string;
  readonly webhook: T;
}

const mutatingKind = resources.MutatingWebhookConfiguration;
const validatingKind = resources.ValidatingWebhookConfiguration;

/** Every webhook of one kind, by the names of their configurations and then as they stand there. Made anew when one changed. */
export interface Hooks<T> {
  list(): readonly Hook<T>[];
}

export const mutatingHooks = (storage: Storage): Hooks<MutatingWebhook> =>
  hooksOf<MutatingWebhook>(storage, mutatingKind);
export const validatingHooks = (storage: Storage): Hooks<ValidatingWebhook> =>
  hooksOf<ValidatingWebhook>(storage, validatingKind);

function hooksOf<T extends MutatingWebhook | ValidatingWebhook>(
  storage: Storage,
  kind: typeof mutatingKind | typeof validatingKind,
): Hooks<T> {
  const cache = storage.of(kind);
  let made: readonly Hook<T>[] = [];
  let madeOf = -1;
  return {
    list() {
      if (cache.changed === madeOf) return made;
      madeOf = cache.changed;
      made = cache.under(prefixFor(kind)).flatMap((entry) => {
        const { metadata, webhooks = [] } = entry.object as
          | MutatingWebhookConfiguration
          | ValidatingWebhookConfiguration;
        const uses = new Map<string, number>();
        return webhooks.map((webhook) => {
          const use = uses.get(webhook.name) ?? 0;
          uses.set(webhook.name, use + 1);
          const id = `${metadata.name}/${webhook.name}/${use}`;
          return { configuration: metadata.name, id, version: `${id}@${entry.revision}`, webhook: webhook as T };
        });
      });
      return made;
    },
  };
}
