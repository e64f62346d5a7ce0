// Masks as small pictures: white pixels whose alpha is the mask. They are kept as base64 PNG, white inside on black.

import * as geometry from "./geometry.mjs";
import {text} from "./texts.mjs";

const LATENT = 8;
const SIDES = [64, 512];
const CACHE = 64;
/** Alpha below this is not seen as part of the mask when its bounds are looked for. */
const FAINT = 8;

/** One mask pixel per latent pixel, within what is worth carrying in a picture's metadata. */
export function sizeFor(canvas) {
    const longest = Math.max(canvas.width, canvas.height);
    const scale = geometry.clamp(longest / LATENT, ...SIDES) / longest;
    return {width: Math.max(1, Math.round(canvas.width * scale)), height: Math.max(1, Math.round(canvas.height * scale))};
}

export function blank({width, height}) {
    return Object.assign(document.createElement("canvas"), {width, height});
}

const pen = canvas => canvas.getContext("2d", {willReadFrequently: true});

export function copyOf(raster, size = raster) {
    const copy = blank(size);
    pen(copy).drawImage(raster, 0, 0, copy.width, copy.height);
    return copy;
}

/** White with the picture's brightness (alpha counted as black) as alpha. */
export function fromPicture(picture, size) {
    const raster = blank(size);
    const context = pen(raster);
    context.drawImage(picture, 0, 0, size.width, size.height);
    const image = context.getImageData(0, 0, size.width, size.height);
    for (let i = 0; i < image.data.length; i += 4) {
        const [r, g, b, a] = image.data.subarray(i, i + 4);
        image.data.set([255, 255, 255, (0.299 * r + 0.587 * g + 0.114 * b) * a / 255], i);
    }
    context.putImageData(image, 0, 0);
    return raster;
}

/** Base64 PNG, white on black. */
export function encoded(raster) {
    const picture = blank(raster);
    const context = pen(picture);
    context.fillRect(0, 0, picture.width, picture.height);
    context.drawImage(raster, 0, 0);
    return picture.toDataURL("image/png").split(",")[1];
}

export function loadPicture(url) {
    return new Promise((resolve, reject) => {
        const picture = new Image();
        picture.onload = () => resolve(picture);
        picture.onerror = () => reject(new Error(text("This file is not a picture that the browser can read.")));
        picture.src = url;
    });
}

const inUnitSquare = (context, {width, height}) => context.setTransform(width, 0, 0, height, 0, 0);

/** A rectangle or polygon as a mask. */
export function rasterised(shape, size) {
    const raster = blank(size);
    const context = pen(raster);
    inUnitSquare(context, size);
    context.fillStyle = "#fff";
    if (shape.type === "rectangle") {
        context.fillRect(shape.x, shape.y, shape.width, shape.height);
    } else {
        context.beginPath();
        shape.points.forEach(([x, y]) => context.lineTo(x, y));
        context.fill();
    }
    return raster;
}

/** Paint (or erase) one piece of a stroke. Points are fractions; the brush's width is image pixels of `canvas`. */
export function stroke(raster, canvas, from, to, width, erase) {
    const context = pen(raster);
    context.setTransform(raster.width / canvas.width, 0, 0, raster.height / canvas.height, 0, 0);
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    Object.assign(context, {lineCap: "round", lineJoin: "round", lineWidth: width, strokeStyle: "#fff"});
    context.beginPath();
    context.moveTo(from.x * canvas.width, from.y * canvas.height);
    context.lineTo(to.x * canvas.width + 0.01, to.y * canvas.height);
    context.stroke();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "source-over";
}

/** The box of fractions that holds all that is painted, or null. */
export function bounds(raster) {
    const {width, height} = raster;
    const {data} = pen(raster).getImageData(0, 0, width, height);
    let [left, top, right, bottom] = [width, height, -1, -1];
    for (let y = 0, i = 3; y < height; y++) {
        for (let x = 0; x < width; x++, i += 4) {
            if (data[i] < FAINT) continue;
            left = Math.min(left, x);
            right = Math.max(right, x);
            top = Math.min(top, y);
            bottom = y;
        }
    }
    if (right < 0) return null;
    return {x: left / width, y: top / height, width: (right + 1 - left) / width, height: (bottom + 1 - top) / height};
}

/** The mask with the contents of one box moved and stretched to another. */
export function reshaped(raster, from, to) {
    const result = blank(raster);
    const scaled = ({x, y, width, height}) => [x * raster.width, y * raster.height, width * raster.width, height * raster.height];
    pen(result).drawImage(raster, ...scaled(from), ...scaled(to));
    return result;
}

export function inverted(raster) {
    const result = blank(raster);
    const context = pen(result);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, result.width, result.height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(raster, 0, 0);
    return result;
}

/** The mask in one colour, for the eye. */
export function tinted(raster, color) {
    const picture = copyOf(raster);
    const context = pen(picture);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = color;
    context.fillRect(0, 0, picture.width, picture.height);
    return picture;
}

/** Decoded masks by their PNG text. Decoding takes a moment: `onReady` is called when one more is there. */
export class MaskCache {
    constructor(onReady) {
        this.onReady = onReady;
        this.entries = new Map();
    }

    /** {raster, bounds}, or null while it is being decoded. */
    get(png) {
        if (!this.entries.has(png)) this.decode(png);
        return this.entries.get(png);
    }

    /** Keep a mask just made, and give its PNG text. */
    put(raster) {
        const png = encoded(raster);
        this.keep(png, raster);
        return png;
    }

    keep(png, raster) {
        if (this.entries.size >= CACHE) this.entries.delete(this.entries.keys().next().value);
        this.entries.set(png, {raster, bounds: bounds(raster)});
    }

    async decode(png) {
        this.entries.set(png, null);
        try {
            const picture = await loadPicture(`data:image/png;base64,${png}`);
            this.keep(png, fromPicture(picture, picture));
        } catch {
            this.keep(png, blank({width: 1, height: 1}));
        }
        this.onReady();
    }
}
