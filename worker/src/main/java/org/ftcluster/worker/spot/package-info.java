/** Notices of clouds that are about to take a machine away. */
@NullMarked
package org.ftcluster.worker.spot;

import org.jspecify.annotations.NullMarked;
