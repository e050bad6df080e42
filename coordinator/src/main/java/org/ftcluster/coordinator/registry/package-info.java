/** Which jobs and workers there are, and who works for whom. */
@NullMarked
package org.ftcluster.coordinator.registry;

import org.jspecify.annotations.NullMarked;
