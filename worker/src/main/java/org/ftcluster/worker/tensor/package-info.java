/**
 * Access to libtorch: what DJL offers, and what it lacks through the foreign-function interface.
 */
@NullMarked
package org.ftcluster.worker.tensor;

import org.jspecify.annotations.NullMarked;
