/** Starts a coordinator: the node that takes jobs and runs them on the workers that are there. */
@NullMarked
package org.ftcluster.coordinator;

import org.jspecify.annotations.NullMarked;
