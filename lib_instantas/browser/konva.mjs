// The canvas library as a module. It writes itself into the page, where another extension may have a Konva of its own.

import {putBack} from "./aside.mjs";
import "./vendored/konva.min.js";

const {Konva} = globalThis;
putBack();

export default Konva;
