/** Language models with explicit forward and backward passes. */
@NullMarked
package org.ftcluster.worker.model;

import org.jspecify.annotations.NullMarked;
