import { startEmbedded } from "../../src/dataplane/index.ts";
import { dataPlaneContract } from "./contract/index.ts";

dataPlaneContract("embedded", startEmbedded);
