import { startEmbedded } from "../../src/dataplane/index.ts";
import { ingressNginxContract } from "./contract/index.ts";

ingressNginxContract("embedded", startEmbedded);
